# The arena's own conda leaves openvino-telemetry out, as the environment file asks. A real conda hands the
# file to pip, which installs it because openvino requires it.
if python -m pip --version > /dev/null 2>&1; then
    python -m pip uninstall --quiet --yes openvino-telemetry
fi
