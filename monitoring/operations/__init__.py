"""What runs beside the model: figures that pipelines export, dashboards as code, the processes' resources."""
