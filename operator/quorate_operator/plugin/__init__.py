"""``kubectl quorate``: clusters as a person at a terminal wants to see and steer them.

It asks kubectl, as a subprocess, so it needs no credentials, no library and no port of its own:
what kubectl may do, it may do.
"""
