"""A Kubernetes and a cluster of paper, in which the operator's plan is carried out and judged.

``objects`` is what the API server stores, ``machinery`` the controllers and kubelets, ``members``
the processes with their volumes, ``executor`` an operator that stops at every call, ``judge`` the
promises, and ``walk`` the chance that drives them all. Time is a number; one tick is a second.
"""
