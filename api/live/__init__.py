"""Who waits for jobs, and hears of them."""
