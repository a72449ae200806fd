"""An image for tests: the node's own programs, in a system that has nothing else."""

# Makes the folder that is its first word: what is large is shown in it by BOUND
MAKE = """
rm -rf "$1"
for folder in usr opt etc tmp proc sys dev; do mkdir -p "$1/$folder"; done
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$1/$name"; done
cp /etc/os-release /etc/passwd /etc/group "$1/etc/"
"""
BOUND = {"APPTAINER_BIND": "/usr,/opt"}
OPEN = "/usr/local/bin/benchtop-container"
