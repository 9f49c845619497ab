"""The way to validators in another process: what is asked and answered, by whom, and when nobody is asked any more."""
