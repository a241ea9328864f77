"""Makes ``twistd realtime`` known to Twisted."""

from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker("realtime", "realtime.tap", "Realtime chat server.", "realtime")
