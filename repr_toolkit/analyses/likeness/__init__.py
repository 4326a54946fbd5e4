"""Whether portraits keep the person."""
