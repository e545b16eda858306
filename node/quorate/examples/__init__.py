"""Services to learn from; each is a page of its own and imports ``quorate.service`` only."""
