"""Embedders of prompts other than the built-in one: an endpoint that speaks OpenAI's API, and who may be sent there."""
