from django.test import Client, TestCase
from django.urls import reverse

from . import queue
from .models import Job, Note


class IndexTests(TestCase):
    def test_a_note_is_saved_with_a_job_and_shown(self):
        response = self.client.post(
            reverse("index"), {"text": "Hello <b>you</b>"}, follow=True
        )
        self.assertRedirects(response, reverse("index"))
        self.assertContains(response, "Hello &lt;b&gt;you&lt;/b&gt;")
        self.assertContains(response, "waiting for the worker")
        self.assertEqual(Job.objects.get().note, Note.objects.get())

    def test_an_empty_note_is_refused(self):
        response = self.client.post(reverse("index"), {"text": "  "})
        self.assertContains(response, "This field is required.")
        self.assertFalse(Note.objects.exists())
        self.assertFalse(Job.objects.exists())

    def test_a_post_without_csrf_token_is_refused(self):
        client = Client(enforce_csrf_checks=True)
        response = client.post(reverse("index"), {"text": "Hello"})
        self.assertEqual(response.status_code, 403)
        self.assertFalse(Note.objects.exists())


class HealthTests(TestCase):
    def test_it_is_plain_ok_after_a_query(self):
        with self.assertNumQueries(1):
            response = self.client.get(reverse("healthz"))
        self.assertEqual(response.content, b"ok")
        self.assertEqual(response["Content-Type"], "text/plain")


class QueueTests(TestCase):
    def test_jobs_are_done_once_oldest_first(self):
        notes = [Note.objects.create(text=text) for text in ("one", "one two\nthree")]
        for note in notes:
            queue.add(note)
        done = [queue.run_next() for _ in range(3)]
        self.assertEqual([job and job.note for job in done], [*notes, None])
        self.assertEqual([job.note.words for job in done[:2]], [1, 3])

    def test_the_count_is_written_back_and_shown(self):
        note = Note.objects.create(text="three little words")
        queue.add(note)
        queue.run_next()
        note.refresh_from_db()
        self.assertEqual(note.words, 3)
        self.assertContains(self.client.get(reverse("index")), "3 words")
