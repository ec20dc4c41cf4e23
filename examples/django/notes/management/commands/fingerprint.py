"""Which value does the app see? Told without showing it."""

import hashlib
import os

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Show the length and the SHA-256 of an environment variable's value."

    def add_arguments(self, parser):
        parser.add_argument("name")

    def handle(self, *args, name, **options):
        value = os.environb.get(os.fsencode(name))
        if value is None:
            raise CommandError(f"{name} is not set")
        digest = hashlib.sha256(value).hexdigest()
        self.stdout.write(f"{name}: {len(value)} bytes, sha256 {digest}")
