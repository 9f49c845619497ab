"""The demonstration: real prompts through every stage, with trouble on the way, and what came of it."""
