"""Prompts that were asked before: found within a tenant, whichever worker saw the earlier one."""
