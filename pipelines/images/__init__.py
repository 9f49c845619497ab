"""Images in prompts: `headers` reads how large they are, `rules` says what vendors count for them, `counting` adds."""
