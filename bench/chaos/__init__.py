"""What becomes of requests and events while parts of a server are killed, frozen, starved or replaced."""
