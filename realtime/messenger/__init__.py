"""messenger: one room, private dialogs that arrive, and who is there."""
