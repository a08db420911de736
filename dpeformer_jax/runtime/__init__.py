"""Where a program runs: devices, processes, compiled programs kept between starts."""
