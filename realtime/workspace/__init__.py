"""workspace: channels over Socket.IO, with authentication by event."""
