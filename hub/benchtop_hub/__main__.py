"""Run the hub of a cell: `python -m benchtop_hub --config=FILE`."""

from benchtop_hub.app import BenchtopHub

if __name__ == "__main__":
    BenchtopHub.launch_instance()
