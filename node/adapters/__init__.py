"""Everything foreign, behind the ports: databases, engines, files, clocks."""
