# shellcheck shell=bash
# Read by bash before the kernel starts: docs/how-to/offer-kernels-to-a-group.md
module load usatlas/1.0
