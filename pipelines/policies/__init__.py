"""The policy engine: rules over the facts of a job, compiled once per version; pure, with no clock of its own."""
