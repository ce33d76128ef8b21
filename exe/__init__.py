"""What building the executables takes, beside build_exe.spec. Nothing of it goes into one."""
