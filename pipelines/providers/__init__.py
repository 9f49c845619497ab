"""LLM provider adapters: one file per wire protocol, behind one small protocol."""
