"""Byte layouts of the log, of member links and of client links; pure, see SCHEMA.md."""
