"""The one description of a ClusterService, from which everything else about its form follows.

``spec`` and ``status`` hold trees of ``fields``: type, bounds, default, rules, and what a person
wants to know about each. ``definition`` renders the CustomResourceDefinition, ``page`` the
reference page, and ``checking`` refuses a body that the definition would not have let in.
``python -m quorate_operator.schema --write`` writes the files.
"""
