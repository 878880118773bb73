"""Notification: group, decide, render, deliver."""
