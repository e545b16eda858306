"""An API server of paper: answers what a test says, over real HTTP on loopback."""
