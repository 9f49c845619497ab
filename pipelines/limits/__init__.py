"""Rate limits: how much a tenant may do in a window, who waits for it, and until when."""
