"""What a prompt's text says of the quality that models will answer it with."""
