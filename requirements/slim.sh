#!/bin/sh
# Removes from an installed environment what no image of this project runs: slim.sh DIRECTORY
set -eu
site=$(echo "$1"/lib/python3*/site-packages)

# Symbol tables. The libraries that wheels bundle in <package>.libs were moved by patchelf, and strip would break them.
find "$site" -name '*.so*' -type f -not -path '*.libs/*' -exec strip --strip-unneeded {} + 2>/dev/null || true

# What only compilers, type checkers and the packages' own tests read.
find "$site" -type d \( -name tests -o -name test -o -name include -o -name __pycache__ \) \
  -prune -exec rm -rf {} +
find "$site" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.[ch]' \
  -o -name '*.cc' -o -name '*.cpp' -o -name '*.hpp' \) -delete

# Translations of holidays' names; the dates are the same in every language.
rm -rf "$site"/holidays/locale

# shap and statsforecast compile functions with numba that this project does not use; the others are in C++.
rm -rf "$site"/llvmlite* "$site"/numba*

# The example data of statsmodels, which statsforecast imports.
find "$site"/statsmodels/datasets -name '*.csv' -delete 2>/dev/null || true

# Arrow's network services and its own clients of object stores; fsspec's are used instead.
rm -f "$site"/pyarrow/*flight* "$site"/pyarrow/*s3* "$site"/pyarrow/*gcsfs*  \
  "$site"/pyarrow/*azurefs* "$site"/pyarrow/*_cpp_tests* "$site"/pyarrow/libarrow*.so "$site"/pyarrow/libarrow*.so.*.*

# botocore's descriptions of all of the cloud's services, of which object storage alone is used.
if [ -d "$site/botocore/data" ]; then
  find "$site/botocore/data" -mindepth 1 -maxdepth 1 -type d \
    -not -name s3 -not -name sts -not -name sso -not -name sso-oidc -exec rm -rf {} +
fi
