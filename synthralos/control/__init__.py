"""What follows a commit: who is rung, by which way, and who is told."""
