"""Webhooks as a channel of the delivery: who gets what, signed, over connections that lead nowhere inside."""
