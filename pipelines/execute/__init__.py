"""The execute stage: one attempt at one deployment, and what it brought."""
