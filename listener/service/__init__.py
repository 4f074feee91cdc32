"""The use cases. Each takes the wired parts (``Core``) and ``now``; all state is rows, never timers in memory.

``poll`` hears, ``tick`` sounds the alarms, ``deliver`` tells; people ``act``; everybody ``read``s.
"""
