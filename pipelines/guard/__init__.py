"""The guard stage: everything that is looked at before anything is paid for."""
