#!/usr/bin/env python3
import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guestbook.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise ImportError(
            "Django is not there. Run ./setup, then: . .venv/bin/activate"
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
