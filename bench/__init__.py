"""Benchmarks: ``python -m bench``. What a message costs the server, in the server's own CPU time.

``server``, ``accounts``   a real daemon in a fresh folder, on a CPU of its own
``peers``                  what it is compared with, in the same run
``load``                   the client, in a process on another CPU
``process``                what Linux tells about a process
``cases``                  what is measured, and how one measurement is made
``profiling``              where the server's time goes, in the same workload
``report``                 medians and ratios, as Markdown and as JSON

CPU time is counted, not elapsed time: it is what a machine runs out of, and other work on the machine
disturbs it least. It still varies by 10 to 40 % from run to run; ratios taken in one run vary less.
"""
