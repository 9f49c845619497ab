"""How a job flows through one process: the only room that knows all stages."""
