"""Benchmarks: ``python -m bench``. What a message costs the server, in the server's own CPU time.

``workloads``              what is measured, and how one measurement is made
``systems``, ``peers``     the servers that are measured, and what each is made of
``server``, ``accounts``   a server's process in a fresh folder, on a CPU of its own
``load``                   the client, written in C, on another CPU
``process``                what Linux tells about a process
``support``                stored and acknowledged messages, a section of their own
``messenger``              its room, its dialogs with receipts and its logins, likewise
``socketio``, ``polling``  Socket.IO beside its other servers, and the client for what only polls
``report``, ``plot``       medians and ratios, as Markdown, as JSON and as a picture
``profiling``              where our server's time goes, in the same workloads
``matching``               what talk's matcher costs, and how good its pairs are: a program of its own
``messenger_kills``        whether anything is lost when its daemon is killed under load: a program of its own
``differential``           a search for a difference to stock Autobahn: a program of its own

CPU time is counted, not elapsed time: it is what a machine runs out of, and other work on the machine
disturbs it least. It still varies by 10 to 40 % from run to run; ratios taken in one round vary less.
"""
