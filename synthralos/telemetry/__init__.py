"""What a process tells about itself: metrics, log lines, outages. Each is built once per process and passed on."""
