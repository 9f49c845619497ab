"""The route stage: which deployments may do a job, in which order, and why not the others."""
