"""The pages and the widget in a real Chromium, against real daemons: each story as a person would live it."""
