"""Write the dashboards."""

from monitoring.dashboards.files import DIRECTORY, texts

if __name__ == "__main__":
    for name, text in texts().items():
        (DIRECTORY / name).write_text(text)
