"""The analyze stage: closes a job's trace and ships it to where it is watched."""
