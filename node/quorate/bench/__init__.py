"""What this machine's cluster does a second, and how long it takes.

Three member processes and a load generator in a process of its own, all on this machine. Every
figure is the median of several repeats and stands with its range, beside what the disk and the
loopback of this machine do in the same run: without those, figures of two machines, or of two
days, say nothing about the code. Run it with ``make bench`` or ``python -m quorate.bench``.
"""
