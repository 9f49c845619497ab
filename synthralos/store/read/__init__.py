"""Reading jobs, traces and costs."""
