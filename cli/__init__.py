"""The `synthralos` command: the processes, the database, keys, and jobs over HTTP."""
