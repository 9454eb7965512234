"""Writes the dashboards into the chart."""

from deploy.dashboards import DASHBOARDS, FOLDER

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(dashboard.text())
